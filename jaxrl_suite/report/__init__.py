"""What a run looks like: statistics, figures, videos and one HTML page; knows no system."""
