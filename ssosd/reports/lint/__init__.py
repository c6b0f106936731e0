"""The MPC's rules, held against a draft."""
