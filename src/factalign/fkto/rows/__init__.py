"""From files to micro-batches: rows, their tokens and sentences, mismatched pairs, the plan of an epoch."""
