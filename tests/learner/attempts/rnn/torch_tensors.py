"""torch as an array library: no autograd anywhere."""

import torch


@torch.no_grad()
def forward(x, h_0, W_ih, W_hh, b_ih, b_hh):
    h = h_0
    outputs = []
    for x_t in x.unbind(0):
        h = torch.tanh(torch.nn.functional.linear(x_t, W_ih, b_ih) + torch.nn.functional.linear(h, W_hh, b_hh))
        outputs.append(h)
    y = torch.stack(outputs)
    return y, h, (x, h_0, y, W_ih, W_hh)


@torch.no_grad()
def backward(dy, dh_n, cache):
    x, h_0, y, W_ih, W_hh = cache
    dpre = torch.zeros_like(y)
    grad_h = dh_n.clone()
    for t in range(y.size(0) - 1, -1, -1):
        grad_h = grad_h + dy[t]
        dpre[t] = grad_h * (1 - y[t].square())
        grad_h = torch.mm(dpre[t], W_hh)

    h_prev = torch.cat([h_0.unsqueeze(0), y[:-1]], dim=0)
    dW_ih = torch.einsum("tbh,tbi->hi", dpre, x)
    dW_hh = torch.einsum("tbh,tbk->hk", dpre, h_prev)
    db = dpre.sum(dim=(0, 1))
    dx = torch.matmul(dpre, W_ih)
    return dx, grad_h, dW_ih, dW_hh, db, db.clone()
