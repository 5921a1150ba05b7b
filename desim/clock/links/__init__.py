"""Link models: when a message arrives, one file each."""
