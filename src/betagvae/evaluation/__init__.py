"""What a trained model is worth: metrics, disentanglement scores and image quality."""
