"""Checks that prove that nothing expired remains: other questions than the sweep's, asked by Great Expectations.

Nothing in here imports what the sweep judges or acts by (lethe.deadlines, lethe.decide, the SQL of lethe.stores): a
mistake there is to be found here. What both read is the policy.
"""
