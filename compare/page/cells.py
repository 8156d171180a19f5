"""What the page says about each cell, next to which line; a cell with an entry in SHOWN appears on the page.

The equations of `forward` come from the docstring of the cell's module, and the gates from its GATES.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Shown:
    """What is shown next to a line, by what the line assigns.

    forward: the names of the numbers below it. backward: its equations, in the notation of equations.py, and the names.
    "+x" is a term of a sum and "=x" the sum. A whole array of blocks has one name per block.
    terms: equations of the numbers that no line computes by itself; keeps: the gate that keeps the state; exploding:
    biases of the gates with which a large W_hh makes the gradient explode, None if it cannot.
    """

    forward: dict[str, list[str]]
    backward: dict[str, tuple[str, list[str]]]
    terms: list[str] = field(default_factory=list)
    keeps: str | None = None
    exploding: dict[str, float] | None = None


SHOWN = {
    "rnn": Shown(
        forward={"a": ["a"], "y[t]": ["h"]},
        backward={
            "dh_da": ("∂h_t/∂a_t = 1 - h_t^2", ["dh_da"]),
            "dh[t]": ("dh_t = dy_t + W_hh^T da_{t+1}", ["+dy", "+dh_later", "=dh"]),
            "da[t]": ("da_t = dh_t * ∂h_t/∂a_t", ["da"]),
            "carried": ("to h_{t-1}:  W_hh^T da_t", ["dh_sent"]),
            "dh_0": ("", ["dh_0"]),
            "h_before": ("", ["h_before"]),
            "dW_hh": ("dW_hh = Σ_t da_t h_{t-1}^T", ["dW_hh"]),
            "db_hh": ("db_hh = Σ_t da_t", ["db_hh"]),
            "dx, dW_ih": ("dx_t = W_ih^T da_t\ndW_ih = Σ_t da_t x_t^T", ["dx", "dW_ih"]),
            "db_ih": ("db_ih = Σ_t da_t", ["db_ih"]),
        },
        terms=["h_before = h_{t-1}", "dh_later = dh_sent_{t+1}", "dh_0 = dh_sent_{0}"],
        exploding={},
    ),
    "gru": Shown(
        forward={
            "u": ["u_r", "u_z", "u_n"],
            "v": ["v_r", "v_z", "v_n"],
            "r_z[t]": ["r", "z"],
            "n[t]": ["n"],
            "y[t]": ["h"],
        },
        backward={
            "h_before": ("", ["h_before"]),
            "dh_du_n": ("∂h_t/∂u_n = (1 - z_t) * (1 - n_t^2)", ["dh_du_n"]),
            "dh_dv_n[...]": ("∂h_t/∂v_n = ∂h_t/∂u_n * r_t", ["dh_dv_n"]),
            "dh_dv_z[...]": ("∂h_t/∂v_z = (h_{t-1} - n_t) * z_t * (1 - z_t)", ["dh_dv_z"]),
            "dh_dv_r[...]": ("∂h_t/∂v_r = ∂h_t/∂u_n * v_n * r_t * (1 - r_t)", ["dh_dv_r"]),
            "dh[t]": ("dh_t = dy_t + dh_{t+1} * z_{t+1} + W_hh^T dv_{t+1}", ["+dy", "+dh_later", "=dh"]),
            "dv_blocks[t]": ("dv_k = dh_t * ∂h_t/∂v_k   for k = r, z, n", ["dv_r", "dv_z", "dv_n"]),
            "carried": ("to h_{t-1}:  dh_t * z_t + W_hh^T dv_t", ["dh_sent"]),
            "dh_0": ("", ["dh_0"]),
            "du": ("du_r = dv_r,  du_z = dv_z", []),
            "du[:, :, 2 * H :]": ("du_n = dh_t * ∂h_t/∂u_n", ["du_n"]),
            "dW_hh": ("dW_hh = Σ_t dv_t h_{t-1}^T", ["dW_hh"]),
            "db_hh": ("db_hh = Σ_t dv_t", ["db_hh"]),
            "dx, dW_ih": ("dx_t = W_ih^T du_t\ndW_ih = Σ_t du_t x_t^T", ["dx", "dW_ih"]),
            "db_ih": ("db_ih = Σ_t du_t", ["db_ih"]),
        },
        terms=["h_before = h_{t-1}", "dh_later = dh_sent_{t+1}", "dh_0 = dh_sent_{0}"],
        keeps="z",
        exploding={"r": 5.0, "z": -5.0},
    ),
    "lstm": Shown(
        forward={
            "a": ["a_i", "a_f", "a_g", "a_o"],
            "i, f, g, o": ["i", "f", "g", "o"],
            "c[t]": ["c"],
            "tanh_c[t]": ["tanh_c"],
            "y[t]": ["h"],
        },
        backward={
            "h_before": ("", ["h_before"]),
            "c_before": ("", ["c_before"]),
            "dh_dc": ("∂h_t/∂c_t = o_t * (1 - tanh(c_t)^2)", ["dh_dc"]),
            "dh_da_o[...]": ("∂h_t/∂a_o = tanh(c_t) * o_t * (1 - o_t)", ["dh_da_o"]),
            "dc_da_g[...]": ("∂c_t/∂a_g = i_t * (1 - g_t^2)", ["dc_da_g"]),
            "dc_da_f[...]": ("∂c_t/∂a_f = c_{t-1} * f_t * (1 - f_t)", ["dc_da_f"]),
            "dc_da_i[...]": ("∂c_t/∂a_i = g_t * i_t * (1 - i_t)", ["dc_da_i"]),
            "dh[t]": ("dh_t = dy_t + W_hh^T da_{t+1}", ["+dy", "+dh_later", "=dh"]),
            "dc[t]": ("dc_t = dh_t * ∂h_t/∂c_t + dc_{t+1} * f_{t+1}", ["+dc_own", "+dc_later", "=dc"]),
            "da_blocks[t, 3]": ("da_o = dh_t * ∂h_t/∂a_o", ["da_o"]),
            "da_blocks[t, :3]": ("da_k = dc_t * ∂c_t/∂a_k   for k = i, f, g", ["da_i", "da_f", "da_g"]),
            "dc_carried": ("to c_{t-1}:  dc_t * f_t", ["dc_sent"]),
            "dh_carried": ("to h_{t-1}:  W_hh^T da_t", ["dh_sent"]),
            "dh_0, dc_0": ("", ["dh_0", "dc_0"]),
            "dW_hh": ("dW_hh = Σ_t da_t h_{t-1}^T", ["dW_hh"]),
            "db_hh": ("db_hh = Σ_t da_t", ["db_hh"]),
            "dx, dW_ih": ("dx_t = W_ih^T da_t\ndW_ih = Σ_t da_t x_t^T", ["dx", "dW_ih"]),
            "db_ih": ("db_ih = Σ_t da_t", ["db_ih"]),
        },
        terms=[
            "tanh_c = tanh(c_t)",
            "h_before = h_{t-1}",
            "c_before = c_{t-1}",
            "dh_later = dh_sent_{t+1}",
            "dc_later = dc_sent_{t+1}",
            "dc_own = dh_t * ∂h_t/∂c_t",
            "dh_0 = dh_sent_{0}",
            "dc_0 = dc_sent_{0}",
        ],
        keeps="f",
        exploding={"i": 3.0, "o": 3.0},
    ),
    "mingru": Shown(
        forward={"a": ["a_z", "a_n"], "z": ["z"], "n": ["n"], "y": ["h"]},
        backward={
            "h_before": ("", ["h_before"]),
            "dh": ("dh_t = dy_t + (1 - z_{t+1}) * dh_{t+1}", ["dh"]),
            "dh_0": ("", ["dh_0"]),
            "da_z": ("da_z = dh_t * (n_t - h_{t-1}) * z_t * (1 - z_t)", ["da_z"]),
            "da_n": ("da_n = dh_t * z_t", ["da_n"]),
            "dx, dW_ih": ("dx_t = W_ih^T da_t\ndW_ih = Σ_t da_t x_t^T", ["dx", "dW_ih"]),
            "db_ih": ("db_ih = Σ_t da_t", ["db_ih"]),
        },
        terms=["h_before = h_{t-1}", "dh_sent = (1 - z_t) * dh_t", "dh_0 = dh_sent_{0}"],
        keeps="z",
    ),
}

# The lines of the output layer and the loss, by function and start: equation, numbers, and what torch's line contains.
LOSS = {
    ("Linear.forward", "y = "): ("yhat_t = w h_t + b", ["yhat"], "self.linear("),
    ("mse", "loss = "): ("loss = Σ_t m_t * (yhat_t - target_t)^2", ["target", "m"], "mse_loss("),
    ("mse", "return "): ("dyhat_t = 2 * m_t * (yhat_t - target_t)", ["dyhat"], ""),
    ("Linear.backward", "return "): ("dy_t = w^T dyhat_t", ["dy"], ""),
}
LABELS = {
    "tanh_c": "tanh(c_t)",
    "yhat": "yhat_t",
    "h_before": "h_{t-1}",
    "c_before": "c_{t-1}",
    "dh_later": "from t+1",
    "dc_own": "from h_t",
    "dc_later": "from t+1",
    "dh_sent": "to h_{t-1}",
    "dc_sent": "to c_{t-1}",
}
