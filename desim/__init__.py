"""desim: a discrete-event simulator of decentralized training."""
