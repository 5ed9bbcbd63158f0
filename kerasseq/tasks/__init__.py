"""The tasks of the suite: everything special to one is in its folder, its wing."""
