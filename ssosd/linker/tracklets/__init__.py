"""The tracklet linker: sources that move, from all detections of a sequence at their solved positions."""
