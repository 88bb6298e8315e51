"""A PostgreSQL database as a store; its connection and outbox are used without the rest."""
