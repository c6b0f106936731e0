"""One mouth of the corridor: the file system, all night."""
