"""Wrong backward passes that people write, and a few other mistakes that cost as much, each as one change to scratch/.

Every entry has the right lines, the wrong ones, and why the wrong ones look right. They run, and all but the one whose
shape is wrong train: the numbers are merely wrong. plant.py gives `scratch` with one of them in it; detectors.py says
which way of checking sees which.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mistake:
    """One change to one file of scratch/.

    file: the module's name; why: how people come to make it; right: the lines as they are, to be found there exactly
    once; wrong: what stands there instead.
    """

    name: str
    file: str
    why: str
    right: str
    wrong: str


RNN = (
    Mistake(
        name="dh_not_carried",
        file="rnn",
        why="What goes to the step before gets a name of its own, and the loop goes on reading the old one.",
        right="""\
        carried = da[t] @ W_hh  # (B, H)
    dh_0 = carried
""",
        wrong="""\
        dh_0 = da[t] @ W_hh  # (B, H)
""",
    ),
    Mistake(
        name="tanh_taken_twice",
        file="rnn",
        why="The slope is known as 1 - tanh(a)^2, and it is easy to forget that what was kept is the tanh already.",
        right="dh_da = 1 - y**2 if",
        wrong="dh_da = 1 - np.tanh(y) ** 2 if",
    ),
    Mistake(
        name="slope_upside_down",
        file="rnn",
        why="The derivative is taken the wrong way round: 1 / (1 - h^2) is da/dh, and the chain wants dh/da.",
        right="dh_da = 1 - y**2 if",
        wrong="dh_da = 1 / (1 - y**2) if",
    ),
    Mistake(
        name="relu_slope_at_zero",
        file="rnn",
        why="At the kink either slope will do, but this looks at the output, which is 0 wherever the unit is off.",
        right="(y > 0).astype",
        wrong="(y >= 0).astype",
    ),
    Mistake(
        name="state_after_for_state_before",
        file="rnn",
        why="The states of all steps lie at hand as y, and the shift by one step is nowhere to be seen in the shapes.",
        right="h_before = np.concatenate([h_0[None], y[:-1]])",
        wrong="h_before = y",
    ),
    Mistake(
        name="first_state_left_out",
        file="rnn",
        why="Training nearly always starts from zeros, so zeros are written down where h_0 belongs.",
        right="h_before = np.concatenate([h_0[None], y[:-1]])",
        wrong="h_before = np.concatenate([np.zeros_like(h_0)[None], y[:-1]])",
    ),
    Mistake(
        name="matrix_for_its_transpose",
        file="rnn",
        why="The equation says W_hh^T, but for rows it is turned round once more, and a square matrix fits both ways.",
        right="carried = da[t] @ W_hh",
        wrong="carried = da[t] @ W_hh.T",
    ),
    Mistake(
        name="bias_of_the_last_step_only",
        file="rnn",
        why="In the formula of one step db is da itself, and with no product there, no sum over steps comes to mind.",
        right="db_hh = da_rows.sum(axis=0)",
        wrong="db_hh = da[-1].sum(axis=0)",
    ),
    Mistake(
        name="mean_over_the_batch",
        file="rnn",
        why="The loss is a mean over rows, so its gradient seems to want a division, and dy came with it already.",
        right="dW_hh = da_rows.T @ h_before.reshape(T * B, H)",
        wrong="dW_hh = da_rows.T @ h_before.reshape(T * B, H) / B",
    ),
    Mistake(
        name="clipped_inside_backward",
        file="rnn",
        why="Old examples clip right here against explosion, and what comes out is no longer the gradient.",
        right="carried = da[t] @ W_hh",
        wrong="carried = np.clip(da[t] @ W_hh, -5, 5)",
    ),
    Mistake(
        name="upstream_overwritten",
        file="rnn",
        why="dy has the right shape for dh and is not read again here, so an array is saved: the caller's.",
        right="dh = np.empty_like(dh_da)",
        wrong="dh = dy",
    ),
)

GRU = (
    Mistake(
        name="dh_from_the_loss_alone",
        file="gru",
        why="The equations come from a page that treats one step, where the loss is all that reads h_t.",
        right="dh[t] = dy[t] + carried",
        wrong="dh[t] = dy[t]",
    ),
    Mistake(
        name="direct_path_missing",
        file="gru",
        why="One looks for h_{t-1} in the matrix products, and it stands once more in the last equation, beside z_t.",
        right="carried = dh[t] * z[t] + dv[t] @ W_hh",
        wrong="carried = dv[t] @ W_hh",
    ),
    Mistake(
        name="past_weighed_by_1_minus_z",
        file="gru",
        why="Papers do not agree on which of z and 1 - z keeps the past, and the backward is taken from another one.",
        right="carried = dh[t] * z[t] +",
        wrong="carried = dh[t] * (1 - z[t]) +",
    ),
    Mistake(
        name="n_weighed_by_z",
        file="gru",
        why="The same disagreement, at the other end of the mixture: here the new value has the share 1 - z.",
        right="dh_du_n = (1 - z) * (1 - n**2)",
        wrong="dh_du_n = z * (1 - n**2)",
    ),
    Mistake(
        name="sign_of_dz",
        file="gru",
        why="n comes first in the equation, and that 1 - z brings a minus is lost on the way.",
        right="(h_before - n) * z * (1 - z)",
        wrong="(n - h_before) * z * (1 - z)",
    ),
    Mistake(
        name="slope_of_n_missing",
        file="gru",
        why="The weight of n_t is a product already and looks like a slope, so the slope of its tanh is not missed.",
        right="dh_du_n = (1 - z) * (1 - n**2)",
        wrong="dh_du_n = 1 - z",
    ),
    Mistake(
        name="reset_gate_forgotten",
        file="gru",
        why="In the other blocks u and v are only ever added, so their gradients are one and the same there.",
        right="dh_dv_n[...] = dh_du_n * r",
        wrong="dh_dv_n[...] = dh_du_n",
    ),
    Mistake(
        name="n_for_v_n",
        file="gru",
        why="n_t was kept anyway, while the factor that the reset gate met has to be kept for this one line.",
        right="dh_du_n * v_n * r * (1 - r)",
        wrong="dh_du_n * n * r * (1 - r)",
    ),
    Mistake(
        name="slope_of_r_missing",
        file="gru",
        why="The line is long, begins with a slope already, and the second one at its end is not missed.",
        right="dh_du_n * v_n * r * (1 - r)",
        wrong="dh_du_n * v_n",
    ),
    Mistake(
        name="n_dropped_from_dh_before",
        file="gru",
        why="r and z are handled together throughout, and the third block's way back to h_{t-1} is left over.",
        right="+ dv[t] @ W_hh",
        wrong="+ dv[t, :, : 2 * H] @ W_hh[: 2 * H]",
    ),
    Mistake(
        name="du_is_not_dv",
        file="gru",
        why="The cells before have one gradient for both sums, and the shapes still fit.",
        right="inputs.backward(du, x, W_ih)",
        wrong="inputs.backward(dv, x, W_ih)",
    ),
    Mistake(
        name="one_gradient_for_both_biases",
        file="gru",
        why="The line is copied from the other two cells, where both biases stand in the same sum.",
        right="db_ih = du.sum(axis=(0, 1))",
        wrong="db_ih = db_hh.copy()",
    ),
)

LSTM = (
    Mistake(
        name="dh_replaced",
        file="lstm",
        why="It works where only the last state meets a loss, and is not changed when every step gets one.",
        right="dh[t] = dy[t] + dh_carried",
        wrong="dh[t] = dh_carried",
    ),
    Mistake(
        name="dc_replaced",
        file="lstm",
        why="Each line of the forward gives one product here, but c_t was read twice: what came back must be added.",
        right="dc[t] = dh[t] * dh_dc[t] + dc_carried",
        wrong="dc[t] = dh[t] * dh_dc[t]",
    ),
    Mistake(
        name="dc_carried_whole",
        file="lstm",
        why="The cell is said to carry the gradient unchanged, which was true until it got a forget gate.",
        right="dc_carried = dc[t] * f[t]",
        wrong="dc_carried = dc[t].copy()",
    ),
    Mistake(
        name="immediate_for_total",
        file="lstm",
        why="dy[t] is called the gradient of h_t, but it is only the loss's share; the cell needs the total.",
        right="dc[t] = dh[t] * dh_dc[t]",
        wrong="dc[t] = dy[t] * dh_dc[t]",
    ),
    Mistake(
        name="slope_from_c",
        file="lstm",
        why="The rule says: one minus the output squared; but c_t is what goes into this tanh, not what comes out.",
        right="o * (1 - tanh_c**2)",
        wrong="o * (1 - c**2)",
    ),
    Mistake(
        name="c_for_tanh_c",
        file="lstm",
        why="The tanh between c_t and h_t has no name in the equations and is overlooked.",
        right="tanh_c * o * (1 - o)",
        wrong="c * o * (1 - o)",
    ),
    Mistake(
        name="cell_after_for_cell_before",
        file="lstm",
        why="Everything else in this block belongs to step t, and c alone must be the one before.",
        right="c_before * f * (1 - f)",
        wrong="c * f * (1 - f)",
    ),
    Mistake(
        name="h_after_for_h_before",
        file="lstm",
        why="dW is a sum of da_t times h, and the index of h is read off the da beside it.",
        right="da_rows.T @ h_before.reshape(T * B, H)",
        wrong="da_rows.T @ y.reshape(T * B, H)",
    ),
    Mistake(
        name="slope_of_one_gate_missing",
        file="lstm",
        why="Four lines of one pattern are typed in a row, and one of them stops too soon.",
        right="dc_da_i[...] = g * i * (1 - i)",
        wrong="dc_da_i[...] = g",
    ),
    Mistake(
        name="sigmoid_slope_for_g",
        file="lstm",
        why="Three of the four blocks are sigmoids, and the one that is a tanh is treated as they are.",
        right="i * (1 - g**2)",
        wrong="i * g * (1 - g)",
    ),
    Mistake(
        name="gates_in_another_order",
        file="lstm",
        why="Many texts write i f o g, torch has i f g o, and the blocks are all of one shape.",
        right="dc_da_i, dc_da_f, dc_da_g, dh_da_o = slopes",
        wrong="dc_da_i, dc_da_f, dh_da_o, dc_da_g = slopes",
    ),
    Mistake(
        name="gate_dropped_from_dh_before",
        file="lstm",
        why="Written out it is a sum of four products, and the one of the input gate is left out.",
        right="dh_carried = da[t] @ W_hh",
        wrong="dh_carried = da[t, :, H:] @ W_hh[H:]",
    ),
    Mistake(
        name="each_block_transposed",
        file="lstm",
        why="Each gate's block of W_hh is square, so with a product for each gate the wrong way round fits too.",
        right="dh_carried = da[t] @ W_hh",
        wrong="dh_carried = da[t] @ np.concatenate([W.T for W in np.split(W_hh, 4)])",
    ),
    Mistake(
        name="weights_of_the_last_step_only",
        file="lstm",
        why="The formula for one step is da_t times h_{t-1}, and = in place of += keeps one of them.",
        right="da_rows.T @ h_before.reshape(T * B, H)",
        wrong="da[-1].T @ h_before[-1]",
    ),
    Mistake(
        name="bias_as_a_row",
        file="lstm",
        why="keepdims=True, or a bias kept as (1, 4H) elsewhere, and everything that broadcasts takes it.",
        right="db_hh = da_rows.sum(axis=0)",
        wrong="db_hh = da_rows.sum(axis=0, keepdims=True)",
    ),
    Mistake(
        name="one_array_for_two_biases",
        file="lstm",
        why="The two are equal, and a copy seems a waste until clipping scales the one array twice.",
        right="db_ih = db_hh.copy()",
        wrong="db_ih = db_hh",
    ),
    Mistake(
        name="dc_n_overwritten",
        file="lstm",
        why="Writing into the array at hand saves one at every step; at the last step that one is the caller's.",
        right="dc_carried = dc[t] * f[t]",
        wrong="np.multiply(dc[t], f[t], out=dc_carried)",
    ),
    Mistake(
        name="parameter_changed_in_forward",
        file="lstm",
        why="It computes the same sum and saves an array, and after every forward b_ih is another one.",
        right="u = inputs.forward(x, W_ih, b_ih + b_hh)",
        wrong="b_ih += b_hh\n    u = inputs.forward(x, W_ih, b_ih)",
    ),
)

INPUTS = (
    Mistake(
        name="steps_and_rows_mixed",
        file="inputs",
        why="Half the world puts the batch first, and after the reshape nothing tells the two orders apart.",
        right="x.reshape(-1, x.shape[2])",
        wrong="x.swapaxes(0, 1).reshape(-1, x.shape[2])",
    ),
    Mistake(
        name="input_weights_averaged",
        file="inputs",
        why="A mean keeps the size of the step the same for every batch size; here the loss has seen to that.",
        right="dW_ih = du_rows.T @ x.reshape(-1, x.shape[2])",
        wrong="dW_ih = du_rows.T @ x.reshape(-1, x.shape[2]) / du.shape[1]",
    ),
    Mistake(
        name="rows_left_unsorted",
        file="inputs",
        why="The ids get sorted and their rows do not, and with a small vocabulary this branch never runs.",
        right="np.add.reduceat(rows[order], starts, axis=0)",
        wrong="np.add.reduceat(rows, starts, axis=0)",
    ),
)

STRETCHES = (
    Mistake(
        name="padding_run_through",
        file="stretches",
        why="Everything fits without a look at the lengths: the state then comes from the last padded step.",
        right="n = B if lengths is None else int(np.sum(lengths >= end))",
        wrong="n = B",
    ),
    Mistake(
        name="reverse_starts_on_padding",
        file="stretches",
        why="Turning the whole array round is one slice, and what then comes first is padding.",
        right="""\
    if lengths is None:
        return x[::-1]
""",
        wrong="""\
    return x[::-1]
""",
    ),
    Mistake(
        name="ended_rows_forget",
        file="stretches",
        why="A new array of states is filled for the rows that run, and those that wait are left at zero.",
        right="np.concatenate([s_last, s[n:]])",
        wrong="np.concatenate([s_last, np.zeros_like(s[n:])])",
    ),
    Mistake(
        name="ended_rows_lose_dh_n",
        file="stretches",
        why="A row that does not run has no gradient yet, it seems; but its dh_n is waiting.",
        right="np.concatenate([ds_first, ds[n:]])",
        wrong="np.concatenate([ds_first, np.zeros_like(ds[n:])])",
    ),
    Mistake(
        name="states_written_in_place",
        file="stretches",
        why="It saves a copy, and the first array that it writes into is the caller's h_0.",
        right="state = [np.concatenate([s_last, s[n:]]) for s, s_last in zip(state, last, strict=True)]",
        wrong="_ = [np.copyto(s[:n], s_last) for s, s_last in zip(state, last, strict=True)]",
    ),
    Mistake(
        name="one_stretch_of_the_sum",
        file="stretches",
        why="= for += once more: each part has a full set of gradients, so that of one part looks complete.",
        right="share if dweights is None else [total + part for total, part in zip(dweights, share, strict=True)]",
        wrong="share",
    ),
    Mistake(
        name="every_stretch_starts_from_dh_n",
        file="stretches",
        why="The argument is called dstate_n, which is true of the last part only; the others continue.",
        right="running = [ds[:n] for ds in dstate]",
        wrong="running = [ds[:n] for ds in dstate_n]",
    ),
)

RECURRENT = (
    Mistake(
        name="reverse_gradient_not_added",
        file="recurrent",
        why="Each direction hands back a whole dx, so the second one seems to be the result.",
        right="dx = dx_k if dx is None else dx + dx_k",
        wrong="dx = dx_k",
    ),
    Mistake(
        name="halves_swapped",
        file="recurrent",
        why="The backward goes through the directions in reverse order, and the halves of dy get reversed with them.",
        right="dy[:, :, direction * H : (direction + 1) * H]",
        wrong="dy[:, :, (D - 1 - direction) * H : (D - direction) * H]",
    ),
    Mistake(
        name="dy_not_turned_round",
        file="recurrent",
        why="The forward turns its input round before and its output after, and one of the two is forgotten here.",
        right="""\
                if direction:
                    dy_k = stretches.reverse(dy_k, lengths)
""",
        wrong="",
    ),
    Mistake(
        name="dx_not_turned_back",
        file="recurrent",
        why="Shapes and parameters' gradients are right without it, and dx is what nobody looks at.",
        right="dx_k = stretches.reverse(dx_k, lengths)  # (T, B, I)",
        wrong="pass",
    ),
    Mistake(
        name="first_state_gets_zero",
        file="recurrent",
        why="Nobody learns the first state, so its gradient is filled with zeros and meant to be seen to later.",
        right="ds[k] = ds_k",
        wrong="ds[k] = 0",
    ),
    Mistake(
        name="omitted_upstream_is_ones",
        file="recurrent",
        why="A backward pass starts from a gradient of one, but that is the loss's own and not that of every output.",
        right="dy = np.zeros((T, B, D * H), ",
        wrong="dy = np.ones((T, B, D * H), ",
    ),
    Mistake(
        name="gradients_pile_up",
        file="recurrent",
        why="torch adds to what stands there and has zero_grad for it; here nothing empties it between calls.",
        right="{name: grads[name] for name in self.params}",
        wrong="{name: self.grads.get(name, 0) + grads[name] for name in self.params}",
    ),
    Mistake(
        name="not_handed_down",
        file="recurrent",
        why="Every layer has an output of one shape, so each of them takes the dy that the top one got.",
        right="            dy = dx  # this layer's input was the output of the layer below\n",
        wrong="",
    ),
    Mistake(
        name="order_for_its_inverse",
        file="recurrent",
        why="Sorting back looks like sorting, and for two rows it is the same.",
        right="dx = dx[:, inverse] if",
        wrong="dx = dx[:, order] if",
    ),
    Mistake(
        name="state_of_the_layer",
        file="recurrent",
        why="With one direction the layer's number is the state's number, and the second one is added later.",
        right="self.cell, source, [s[k] for s in state], weights",
        wrong="self.cell, source, [s[layer] for s in state], weights",
    ),
)

LAYERS = (
    Mistake(
        name="repeated_ids_lost",
        file="layers",
        why="grads[ids] += dy reads as a sum, and NumPy keeps one row for every id.",
        right='self.grads = {"weight": sum_by_id(dy.reshape(-1, E), self._ids.ravel(), V)}',
        wrong="""\
self.grads = {"weight": np.zeros((V, E), dy.dtype)}
        self.grads["weight"][self._ids] += dy""",
    ),
    Mistake(
        name="weight_gradient_adds_up",
        file="layers",
        why="One array is kept and added to, and the second training step is the first to go wrong.",
        right='{"weight": dy_rows.T @ x_rows,',
        wrong='{"weight": self.grads.get("weight", 0) + dy_rows.T @ x_rows,',
    ),
    Mistake(
        name="bias_gradient_averaged",
        file="layers",
        why="sum and mean differ by a factor, and a learning rate makes up for it until the batch changes.",
        right="dy_rows.sum(axis=0)",
        wrong="dy_rows.mean(axis=0)",
    ),
)

LOSSES = (
    Mistake(
        name="softmax_without_minus_one",
        file="losses",
        why="The probabilities are the long part of the formula, and the 1 of the right class is left for later.",
        right="    dlogits[rows, ids] -= 1\n",
        wrong="",
    ),
    Mistake(
        name="not_divided_by_the_count",
        file="losses",
        why="The textbook's p - y belongs to one example, and the mean that the loss takes has to follow it.",
        right="    dlogits /= dlogits.dtype.type(count)\n",
        wrong="",
    ),
    Mistake(
        name="padding_in_the_count",
        file="losses",
        why="The number of rows is at hand as len(ids), and it counts those that are not valid too.",
        right="dlogits.dtype.type(count)",
        wrong="dlogits.dtype.type(len(ids))",
    ),
    Mistake(
        name="mean_over_padding_too",
        file="losses",
        why="A mean over the whole array is the easy one; loss and gradient agree and are both too small.",
        right="np.prod(targets_shape) if valid is None else valid.sum()",
        wrong="np.prod(targets_shape)",
    ),
    Mistake(
        name="mask_forgotten_in_the_gradient",
        file="losses",
        why="The loss is masked and looks right, and the gradient comes from a line that knows nothing of it.",
        right="""\
    if valid is not None:
        dlogits[~np.ravel(valid)] = 0  # and not times the mask: nan * 0 is nan
""",
        wrong="",
    ),
    Mistake(
        name="mask_multiplied",
        file="losses",
        why="Times 0 is nothing, except where padding holds a nan.",
        right="dlogits[~np.ravel(valid)] = 0",
        wrong="dlogits *= np.ravel(valid)[:, None]",
    ),
    Mistake(
        name="logits_overwritten",
        file="losses",
        why="-= saves an array, and reshape gave a view of the caller's.",
        right="shifted = shifted - shifted.real.max(axis=1, keepdims=True)",
        wrong="shifted -= shifted.real.max(axis=1, keepdims=True)",
    ),
    Mistake(
        name="largest_logit_not_subtracted",
        file="losses",
        why="The formula has no such term, and as long as the logits are small nothing is missed.",
        right="shifted = shifted - shifted.real.max(axis=1, keepdims=True)",
        wrong="shifted = shifted.copy()",
    ),
    Mistake(
        name="factor_two_missing",
        file="losses",
        why="Half of the squared error is as common, has no 2 in its gradient, and the two get mixed.",
        right="difference * (2 / prediction.dtype.type(count))",
        wrong="difference * (1 / prediction.dtype.type(count))",
    ),
)

OPTIMIZERS = (
    Mistake(
        name="dampened_momentum",
        file="optimizers",
        why="Adam's averages have a 1 - beta, so momentum gets one too, and the steps become ten times shorter.",
        right="self.momentum * self.v[name] + g\n",
        wrong="self.momentum * self.v[name] + (1 - self.momentum) * g\n",
    ),
    Mistake(
        name="no_look_ahead",
        file="optimizers",
        why="The option is accepted and stored, and plain momentum trains nearly as well.",
        right="g = g + self.momentum * self.v[name] if self.nesterov else self.v[name]",
        wrong="g = self.v[name]",
    ),
    Mistake(
        name="velocity_is_the_gradient",
        file="optimizers",
        why="v = g says the formula, but without a copy it is the caller's array, which the next batch overwrites.",
        right="self.v[name] = g.copy()",
        wrong="self.v[name] = g",
    ),
    Mistake(
        name="decay_written_into_the_gradient",
        file="optimizers",
        why="+= for = and +: the step is the same, and whoever reads the gradient afterwards reads another one.",
        right="""\
                g = g + self.weight_decay * p
            if self.momentum:
""",
        wrong="""\
                g += self.weight_decay * p
            if self.momentum:
""",
    ),
    Mistake(
        name="no_bias_correction",
        file="optimizers",
        why="It matters in the first steps only, and a run of thousands looks much the same.",
        right="p -= self.lr / (1 - beta1**self.t) * m / denominator",
        wrong="p -= self.lr * m / denominator",
    ),
    Mistake(
        name="epsilon_inside_the_correction",
        file="optimizers",
        why="The paper gives this form as a faster one; torch has the other, and small gradients tell them apart.",
        right="np.sqrt(v) / (1 - beta2**self.t) ** 0.5 + self.eps",
        wrong="(np.sqrt(v) + self.eps) / (1 - beta2**self.t) ** 0.5",
    ),
    Mistake(
        name="l2_for_decoupled_decay",
        file="optimizers",
        why="For SGD the two are the same thing, so AdamW's decay is added to the gradient as well.",
        right="""\
        for p in self.params.values():
            p *= 1 - self.lr * self.weight_decay
        self._update(grads)
""",
        wrong="""\
        super().step(grads)
""",
    ),
    Mistake(
        name="decay_without_the_learning_rate",
        file="optimizers",
        why="The paper keeps its decay apart from the learning rate; torch multiplies the two.",
        right="p *= 1 - self.lr * self.weight_decay",
        wrong="p *= 1 - self.weight_decay",
    ),
    Mistake(
        name="epsilon_under_the_root",
        file="optimizers",
        why="Other libraries have it there, and it keeps the root's argument above zero just as well.",
        right="b += g / (np.sqrt(v) + self.eps)",
        wrong="b += g / np.sqrt(v + self.eps)",
    ),
    Mistake(
        name="decay_one_step_ahead",
        file="optimizers",
        why="t is counted up first, as Adam needs it, and here it should still be that of the step before.",
        right="(self.t - 1) * self.lr_decay",
        wrong="self.t * self.lr_decay",
    ),
    Mistake(
        name="clipped_element_by_element",
        file="optimizers",
        why="np.clip has the name, keeps every number in bounds, and turns the gradient into another direction.",
        right="g *= scale",
        wrong="np.clip(g, -max_norm, max_norm, out=g)",
    ),
    Mistake(
        name="one_norm_for_each_array",
        file="optimizers",
        why="The loop over the arrays is there, and a norm within it is the shorter program.",
        right="g *= scale",
        wrong="g *= min(1, max_norm / (np.sqrt(np.sum(g**2)) + 1e-6))",
    ),
    Mistake(
        name="short_gradients_stretched",
        file="optimizers",
        why="Clipping is remembered as scaling to the norm, and the question whether it is too long is left out.",
        right="if not scale >= 1:",
        wrong="if np.isfinite(scale):",
    ),
)

MODEL = (
    Mistake(
        name="last_output_for_last_state",
        file="model",
        why="y[-1] is the last state, unless a row has ended before or a direction has only just begun there.",
        right="y = np.concatenate(h_n[-self.recurrent.directions :], axis=1)",
        wrong="y = y[-1]",
    ),
    Mistake(
        name="last_state_in_the_other_direction",
        file="model",
        why="reshape can make (D, B, H) of it without a word, but it moves no axis: directions and rows get mixed.",
        right="dy.reshape(B, D, H).swapaxes(0, 1)",
        wrong="dy.reshape(D, B, H)",
    ),
    Mistake(
        name="last_state_into_the_first_layer",
        file="model",
        why="With one layer the first entries are the last ones.",
        right="dh_n[-D:] = dy",
        wrong="dh_n[:D] = dy",
    ),
    Mistake(
        name="one_padded_step_counted",
        file="model",
        why="<= for <: loss and gradient agree with each other, about one target too many in every padded row.",
        right="np.arange(len(batch.inputs))[:, None] < batch.lengths",
        wrong="np.arange(len(batch.inputs))[:, None] <= batch.lengths",
    ),
    Mistake(
        name="state_dropped_on_the_way",
        file="model",
        why="One of two branches passes the state on, and the other starts from zeros without complaint.",
        right="self.recurrent.forward(x, state, lengths)",
        wrong="self.recurrent.forward(x, None, lengths)",
    ),
)

TRAINING = (
    Mistake(
        name="state_not_carried",
        file="training",
        why="A model without it still learns whatever fits into one window.",
        right="state = model.state_n if dataset.carry_state else None",
        wrong="state = None",
    ),
    Mistake(
        name="state_carried_between_strangers",
        file="training",
        why="What is right for a text cut into windows is done for rows that have nothing to do with each other.",
        right="state = model.state_n if dataset.carry_state else None",
        wrong="state = model.state_n",
    ),
    Mistake(
        name="state_carried_across_epochs",
        file="training",
        why="The first state is set once, outside the loop, and the text's end becomes the past of its beginning.",
        right="epoch, state = epoch + 1, None",
        wrong="epoch += 1",
    ),
    Mistake(
        name="clipped_after_the_step",
        file="training",
        why="The two lines run in either order without an error, and the norm that is reported is right.",
        right="""\
            norm = float(clip_grad_norm(grads, float("inf") if clip is None else clip))  # scales grads in place
            optimizer.step(grads)
""",
        wrong="""\
            optimizer.step(grads)
            norm = float(clip_grad_norm(grads, float("inf") if clip is None else clip))  # scales grads in place
""",
    ),
)

MISTAKES = (
    *RNN,
    *GRU,
    *LSTM,
    *INPUTS,
    *STRETCHES,
    *RECURRENT,
    *LAYERS,
    *LOSSES,
    *OPTIMIZERS,
    *MODEL,
    *TRAINING,
)
