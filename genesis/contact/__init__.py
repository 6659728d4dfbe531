"""What touches what: shapes, the law of contact on one point, and the record in which bodies and matter exchange."""
