import numpy as np


class VanillaRNN:
    """tanh RNN. Use: net = VanillaRNN(...); y, h_n = net.forward(x, h_0); grads = net.backward(dy, dh_n)"""

    def __init__(self, W_ih, W_hh, b_ih, b_hh):
        self.W_ih = W_ih
        self.W_hh = W_hh
        self.b_ih = b_ih
        self.b_hh = b_hh
        self.hidden_size = W_hh.shape[0]

    def forward(self, x, h_0):
        self.seq_len, self.batch_size, self.input_size = x.shape
        self.x = x
        self.h_0 = h_0
        self.states = []
        h = h_0
        for t in range(self.seq_len):
            h = self._step(x[t], h)
            self.states.append(h)
        return np.array(self.states), h

    def _step(self, x_t, h):
        return np.tanh(x_t @ self.W_ih.T + self.b_ih + h @ self.W_hh.T + self.b_hh)

    def _state_before(self, t):
        if t == 0:
            return self.h_0
        return self.states[t - 1]

    def _zero_grads(self):
        self.dx = np.zeros(self.x.shape)
        self.dW_ih = np.zeros(self.W_ih.shape)
        self.dW_hh = np.zeros(self.W_hh.shape)
        self.db_ih = np.zeros(self.hidden_size)
        self.db_hh = np.zeros(self.hidden_size)

    def backward(self, dy, dh_n):
        self._zero_grads()
        dh_next = dh_n
        for t in reversed(range(self.seq_len)):
            dh_next = self._step_backward(t, dy[t] + dh_next)
        return self.dx, dh_next, self.dW_ih, self.dW_hh, self.db_ih, self.db_hh

    def _step_backward(self, t, dh):
        draw = dh * (1 - self.states[t] ** 2)
        self.dx[t] = draw.dot(self.W_ih)
        self.dW_ih += draw.T.dot(self.x[t])
        self.dW_hh += draw.T.dot(self._state_before(t))
        self.db_ih += draw.sum(0)
        self.db_hh += draw.sum(0)
        return draw.dot(self.W_hh)
