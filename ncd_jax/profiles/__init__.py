"""What the new classes are: columns, contrasts, rules, typical rows."""
