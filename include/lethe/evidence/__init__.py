"""Evidence: what is written down of every plan, approval, run and batch, without personal data."""
