"""The mailbox's way out when an employee leaves (R10): what is handed over, what is deleted, and in which order."""
