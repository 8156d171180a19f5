import numpy as np


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


class LSTM:
    """One layer. The weights are given once, forward and backward can be called as often as one likes."""

    def __init__(self, W_ih, W_hh, b_ih, b_hh):
        self.params = {"W_ih": W_ih, "W_hh": W_hh, "b_ih": b_ih, "b_hh": b_hh}

    def forward(self, x, h_0, c_0):
        p = self.params
        T, B, _ = x.shape
        H = h_0.shape[1]
        self.x = x
        # one more than there are steps: index t is the state before step t
        self.h = np.empty((T + 1, B, H))
        self.c = np.empty((T + 1, B, H))
        self.h[0] = h_0
        self.c[0] = c_0
        self.i, self.f, self.g, self.o = np.empty((4, T, B, H))
        for t in range(T):
            a = x[t] @ p["W_ih"].T + self.h[t] @ p["W_hh"].T + p["b_ih"] + p["b_hh"]
            self.i[t] = sigmoid(a[:, 0 * H : 1 * H])
            self.f[t] = sigmoid(a[:, 1 * H : 2 * H])
            self.g[t] = np.tanh(a[:, 2 * H : 3 * H])
            self.o[t] = sigmoid(a[:, 3 * H : 4 * H])
            self.c[t + 1] = self.f[t] * self.c[t] + self.i[t] * self.g[t]
            self.h[t + 1] = self.o[t] * np.tanh(self.c[t + 1])
        return self.h[1:].copy(), self.h[T].copy(), self.c[T].copy()

    def backward(self, dy, dh_n, dc_n):
        p = self.params
        T, B, H = dy.shape
        grads = {"d" + name: np.zeros_like(value) for name, value in p.items()}
        grads["dx"] = np.zeros_like(self.x)
        dh_next, dc_next = dh_n, dc_n
        for t in reversed(range(T)):
            i, f, g, o = self.i[t], self.f[t], self.g[t], self.o[t]
            tanh_c = np.tanh(self.c[t + 1])
            dh = dy[t] + dh_next
            dc = dc_next + dh * o * (1 - tanh_c**2)

            da = np.empty((B, 4 * H))
            da[:, 0 * H : 1 * H] = dc * g * i * (1 - i)
            da[:, 1 * H : 2 * H] = dc * self.c[t] * f * (1 - f)
            da[:, 2 * H : 3 * H] = dc * i * (1 - g**2)
            da[:, 3 * H : 4 * H] = dh * tanh_c * o * (1 - o)

            grads["dW_ih"] += da.T @ self.x[t]
            grads["dW_hh"] += da.T @ self.h[t]
            grads["db_ih"] += da.sum(axis=0)
            grads["db_hh"] += da.sum(axis=0)
            grads["dx"][t] = da @ p["W_ih"]
            dh_next = da @ p["W_hh"]
            dc_next = dc * f
        grads["dh_0"] = dh_next
        grads["dc_0"] = dc_next
        return grads
