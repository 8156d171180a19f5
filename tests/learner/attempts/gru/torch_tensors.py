import torch


def forward(x, h_0, W_ih, W_hh, b_ih, b_hh):
    T, B, _ = x.shape
    H = h_0.size(1)
    gate_x = torch.addmm(b_ih, x.reshape(T * B, -1), W_ih.t()).view(T, B, 3 * H)
    h = h_0
    saved, ys = [], []
    for t in range(T):
        gate_h = torch.addmm(b_hh, h, W_hh.t())
        i_r, i_z, i_n = gate_x[t].chunk(3, 1)
        h_r, h_z, h_n = gate_h.chunk(3, 1)
        resetgate = torch.sigmoid(i_r + h_r)
        updategate = torch.sigmoid(i_z + h_z)
        newgate = torch.tanh(i_n + resetgate * h_n)
        saved.append((h, resetgate, updategate, newgate, h_n))
        h = newgate + updategate * (h - newgate)
        ys.append(h)
    return torch.stack(ys), h, (x, saved, W_ih, W_hh)


def backward(dy, dh_n, cache):
    x, saved, W_ih, W_hh = cache
    T, B, I = x.shape
    H = W_hh.size(1)
    d_gate_x = x.new_empty(T, B, 3 * H)
    d_gate_h = x.new_empty(T, B, 3 * H)
    grad_h = dh_n
    for t in reversed(range(T)):
        h_before, resetgate, updategate, newgate, h_n = saved[t]
        grad_h = grad_h + dy[t]
        d_new = grad_h * (1 - updategate)
        d_update = grad_h * (h_before - newgate)
        d_i_n = d_new * (1 - newgate.pow(2))
        d_reset = d_i_n * h_n
        d_i_z = d_update * updategate * (1 - updategate)
        d_i_r = d_reset * resetgate * (1 - resetgate)
        torch.cat([d_i_r, d_i_z, d_i_n], dim=1, out=d_gate_x[t])
        torch.cat([d_i_r, d_i_z, d_i_n * resetgate], dim=1, out=d_gate_h[t])
        grad_h = torch.addmm(grad_h * updategate, d_gate_h[t], W_hh)

    h_befores = torch.stack([step[0] for step in saved])
    flat_x, flat_h = d_gate_x.view(T * B, 3 * H), d_gate_h.view(T * B, 3 * H)
    dx = (flat_x @ W_ih).view(T, B, I)
    dW_ih = flat_x.t() @ x.reshape(T * B, I)
    dW_hh = flat_h.t() @ h_befores.view(T * B, H)
    return dx, grad_h, dW_ih, dW_hh, flat_x.sum(0), flat_h.sum(0)
