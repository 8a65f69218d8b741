"""Many sites in one go: bundles, their way to the boxes, and a report that goes on where it stopped."""
