"""The files of a night: tables, drafts, the morning report, and who is told of it."""
