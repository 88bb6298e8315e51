"""Lethe makes a company forget personal data when it promised to, and proves it."""
