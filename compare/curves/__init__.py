"""The main job: train both models on each task and draw both training curves and their gap."""
