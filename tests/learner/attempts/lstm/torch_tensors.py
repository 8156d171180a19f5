"""LSTM on torch tensors, gradients by hand."""

import torch


class HandLSTM:
    def __init__(self, W_ih, W_hh, b_ih, b_hh):
        self.W_ih, self.W_hh = W_ih, W_hh
        self.bias = b_ih + b_hh

    def forward(self, x, h_0, c_0):
        self.x = x
        self.h, self.c, self.gates = [h_0], [c_0], []
        for x_t in torch.unbind(x):
            a = torch.addmm(self.bias, x_t, self.W_ih.T) + self.h[-1] @ self.W_hh.T
            a_i, a_f, a_g, a_o = torch.chunk(a, 4, dim=-1)
            i, f, o = torch.sigmoid(a_i), torch.sigmoid(a_f), torch.sigmoid(a_o)
            g = torch.tanh(a_g)
            self.gates.append((i, f, g, o))
            self.c.append(torch.addcmul(f * self.c[-1], i, g))
            self.h.append(o * self.c[-1].tanh())
        return torch.stack(self.h[1:]), self.h[-1], self.c[-1]

    def backward(self, dy, dh_n, dc_n):
        dW_ih, dW_hh = torch.zeros_like(self.W_ih), torch.zeros_like(self.W_hh)
        db = torch.zeros_like(self.bias)
        dx = torch.zeros_like(self.x)
        dh, dc = dh_n.clone(), dc_n.clone()
        for t in range(len(self.gates) - 1, -1, -1):
            i, f, g, o = self.gates[t]
            dh += dy[t]
            tc = self.c[t + 1].tanh()
            dc += dh * o * (1 - tc * tc)
            d_i = dc * g * i * (1 - i)
            d_f = dc * self.c[t] * f * (1 - f)
            d_g = dc * i * (1 - g * g)
            d_o = dh * tc * o * (1 - o)
            da = torch.cat((d_i, d_f, d_g, d_o), dim=1)
            dW_ih.addmm_(da.T, self.x[t])
            dW_hh.addmm_(da.T, self.h[t])
            db += da.sum(dim=0)
            dx[t] = da.mm(self.W_ih)
            dh = da.mm(self.W_hh)
            dc.mul_(f)
        return dx, dh, dc, dW_ih, dW_hh, db, db.clone()
