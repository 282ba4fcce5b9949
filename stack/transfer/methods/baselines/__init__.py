"""What every other way has to beat: the source alone, the target alone, both put together."""
