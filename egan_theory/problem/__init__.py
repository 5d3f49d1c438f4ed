"""An experiment compiled for computation: the field of its dynamics, and the likelihood term."""
