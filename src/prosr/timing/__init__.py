"""What things cost on this machine: time, memory and arithmetic, measured side by side."""
