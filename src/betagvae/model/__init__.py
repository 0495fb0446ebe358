"""The networks, the objective that they are trained for, and the device that they compute on."""
