"""The networks: pure functions of tensors, without files, devices or schedules."""
