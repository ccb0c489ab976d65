"""Tables, charts and pictures of an evaluation."""
