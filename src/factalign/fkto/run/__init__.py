"""Around the training: manifest and process, arguments of transformers, log, checkpoints, results."""
