"""What a store holds besides what the policy names: personal data nobody declared, and copies that nobody thinks of.

inventory (what is there) → signs, sample, values (what looks like personal data) → coverage (what the policy lacks).
"""
