"""Lethe deletes personal data from a company's databases on the day it is due, and leaves evidence of it."""
