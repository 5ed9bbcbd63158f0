"""What is put beside a model in a format without strings: how to run it, in NumPy alone.

These files are copied into an export and never imported from here.
"""
