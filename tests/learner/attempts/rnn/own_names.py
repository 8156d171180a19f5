"""Recurrent network in the notation of my thesis: U for the input, V for the recurrence, delta for the error signal."""

from collections import namedtuple

import numpy as np

Memory = namedtuple("Memory", "signal start activity U V")


def forward(signal, start, U, V, bias_u, bias_v):
    activity = np.empty((signal.shape[0], start.shape[0], start.shape[1]))
    previous = start
    for n, s in enumerate(signal):
        potential = np.matmul(s, U.T) + np.matmul(previous, V.T) + bias_u + bias_v
        previous = activity[n] = np.tanh(potential)
    return activity, activity[-1], Memory(signal, start, activity, U, V)


def backward(error, error_end, memory):
    N = len(memory.signal)
    gain = 1.0 - np.square(memory.activity)
    delta = np.zeros_like(memory.activity)

    delta[N - 1] = gain[N - 1] * (error[N - 1] + error_end)
    for n in range(N - 2, -1, -1):
        backflow = np.matmul(delta[n + 1], memory.V)
        delta[n] = gain[n] * (error[n] + backflow)

    grad_U = np.zeros_like(memory.U)
    grad_V = np.zeros_like(memory.V)
    for n in range(N):
        before = memory.activity[n - 1] if n > 0 else memory.start
        grad_U += np.matmul(delta[n].T, memory.signal[n])
        grad_V += np.matmul(delta[n].T, before)
    grad_bias = np.sum(np.sum(delta, axis=0), axis=0)
    grad_signal = np.matmul(delta, memory.U)
    grad_start = np.matmul(delta[0], memory.V)
    return grad_signal, grad_start, grad_U, grad_V, grad_bias, np.array(grad_bias)
