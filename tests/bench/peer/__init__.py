"""Programs that forward samples as Sinyal does, each started, fed and killed in the same way."""
