"""What runs an export in a format without strings; a client calls it.

These files are copied into an export and never imported from here, as are the tasks' clients.
"""
