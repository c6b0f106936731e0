"""What people and the MPC read: tables and drafts."""
