"""Environments in the shapes of other training libraries; each module needs the extra that its error names."""
