"""Keys, cache, manifests, stored results, parallel engines: what makes results last."""
