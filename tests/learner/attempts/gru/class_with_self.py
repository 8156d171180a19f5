import numpy as np


class GRUCell:
    def sigmoid(self, v):
        return 1.0 / (1.0 + np.exp(-v))

    def forward(self, x, h_0, W_ih, W_hh, b_ih, b_hh):
        self.x, self.h_0 = x, h_0
        self.W_ih, self.W_hh = W_ih, W_hh
        self.T, self.B, self.I = x.shape
        self.H = h_0.shape[1]
        H = self.H

        self.r = np.zeros((self.T, self.B, H))
        self.z = np.zeros((self.T, self.B, H))
        self.n = np.zeros((self.T, self.B, H))
        self.hn = np.zeros((self.T, self.B, H))
        self.h = np.zeros((self.T, self.B, H))

        h = h_0
        for t in range(self.T):
            gi = np.dot(x[t], W_ih.T) + b_ih
            gh = np.dot(h, W_hh.T) + b_hh
            self.r[t] = self.sigmoid(gi[:, :H] + gh[:, :H])
            self.z[t] = self.sigmoid(gi[:, H : 2 * H] + gh[:, H : 2 * H])
            self.hn[t] = gh[:, 2 * H :]
            self.n[t] = np.tanh(gi[:, 2 * H :] + self.r[t] * self.hn[t])
            h = self.n[t] - self.z[t] * self.n[t] + self.z[t] * h
            self.h[t] = h
        return self.h.copy(), h

    def backward(self, dy, dh_n):
        H = self.H
        grad = {
            "dx": np.zeros((self.T, self.B, self.I)),
            "dh_0": None,
            "dW_ih": np.zeros((3 * H, self.I)),
            "dW_hh": np.zeros((3 * H, H)),
            "db_ih": np.zeros(3 * H),
            "db_hh": np.zeros(3 * H),
        }
        dh = dh_n.copy()
        for t in range(self.T - 1, -1, -1):
            h_prev = self.h_0 if t == 0 else self.h[t - 1]
            r, z, n, hn = self.r[t], self.z[t], self.n[t], self.hn[t]
            dh += dy[t]

            dn = dh * (1.0 - z) * (1.0 - n * n)
            dz = dh * (h_prev - n) * z * (1.0 - z)
            dr = dn * hn * r * (1.0 - r)
            dgi = np.concatenate([dr, dz, dn], axis=1)
            dgh = np.concatenate([dr, dz, dn * r], axis=1)

            grad["dx"][t] = np.dot(dgi, self.W_ih)
            grad["dW_ih"] += np.dot(dgi.T, self.x[t])
            grad["dW_hh"] += np.dot(dgh.T, h_prev)
            grad["db_ih"] += np.sum(dgi, axis=0)
            grad["db_hh"] += np.sum(dgh, axis=0)
            dh = np.dot(dgh, self.W_hh) + dh * z
        grad["dh_0"] = dh
        return grad
