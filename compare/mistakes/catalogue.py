"""Wrong backward passes that people write, and other mistakes that cost as much time, each as one change to scratch/.

Each entry has the reason why people make the mistake, the right lines and the wrong ones. All of them run, and all but
the one with a wrong shape train; only the numbers are wrong. plant.py gives `scratch` with one of them in it; table.py
shows which way of checking sees which.
"""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Mistake:
    """One change to one file of scratch/.

    file: the module's name; why: why people make it; right: the lines as they are, found there exactly once; wrong:
    the lines that replace them.
    """

    name: str
    file: str
    why: str
    right: str
    wrong: str


# For each file: the mistake's name, why people make it, and the change as a diff. An entry without + lines removes its
# - lines; every other one may begin and end within a line.
CHANGES = {
    "rnn": """
dh_not_carried
The gradient for the previous step gets a new name, and the loop keeps reading the old one.
-         carried = da[t] @ W_hh  # (B, H)
-     dh_0 = carried
+         dh_0 = da[t] @ W_hh  # (B, H)

tanh_taken_twice
The derivative is known as 1 - tanh(a)^2, and it is easy to forget that y is tanh(a) already.
- dh_da = 1 - y**2 if
+ dh_da = 1 - np.tanh(y) ** 2 if

slope_upside_down
The derivative is inverted: 1 / (1 - h^2) is da/dh, and the chain rule needs dh/da.
- dh_da = 1 - y**2 if
+ dh_da = 1 / (1 - y**2) if

relu_slope_at_zero
At the kink either slope will do, but this tests the output, which is 0 wherever the unit is off.
- (y > 0).astype
+ (y >= 0).astype

state_after_for_state_before
The states of all steps are at hand as y, and no shape shows that they are one step too late.
- h_before = np.concatenate([h_0[None], y[:-1]])
+ h_before = y

first_state_left_out
Training nearly always starts from zeros, so zeros are written in place of h_0.
- h_before = np.concatenate([h_0[None], y[:-1]])
+ h_before = np.concatenate([np.zeros_like(h_0)[None], y[:-1]])

matrix_for_its_transpose
The equation has W_hh^T, which becomes W_hh for row vectors, and a square matrix fits both ways.
- carried = da[t] @ W_hh
+ carried = da[t] @ W_hh.T

bias_of_the_last_step_only
In the formula for one step, db is da itself: no product is there to suggest a sum over steps.
- db_hh = da_rows.sum(axis=0)
+ db_hh = da[-1].sum(axis=0)

mean_over_the_batch
The loss is a mean over rows, so its gradient seems to need a division, but dy contains it already.
- dW_hh = da_rows.T @ h_before.reshape(T * B, H)
+ dW_hh = da_rows.T @ h_before.reshape(T * B, H) / B

clipped_inside_backward
Old examples clip here against exploding gradients, and the result is no longer the gradient.
- carried = da[t] @ W_hh
+ carried = np.clip(da[t] @ W_hh, -5, 5)

upstream_overwritten
dy has the shape that dh needs and is not used again, so this saves an array, but it is the caller's.
- dh = np.empty_like(dh_da)
+ dh = dy
""",
    "gru": """
dh_from_the_loss_alone
The equations are taken from a page that treats a single step, where only the loss reads h_t.
- dh[t] = dy[t] + carried
+ dh[t] = dy[t]

direct_path_missing
One looks for h_{t-1} in the matrix products, but the last equation multiplies it by z_t as well.
- carried = dh[t] * z[t] + dv[t] @ W_hh
+ carried = dv[t] @ W_hh

past_weighed_by_1_minus_z
Papers disagree on which of z and 1 - z keeps the past, and this backward follows another one.
- carried = dh[t] * z[t] +
+ carried = dh[t] * (1 - z[t]) +

n_weighed_by_z
Papers disagree on this, too. In this forward pass the new value n is weighted by 1 - z, not by z.
- dh_du_n = (1 - z) * (1 - n**2)
+ dh_du_n = z * (1 - n**2)

sign_of_dz
n comes first in the equation, and it is easy to miss that 1 - z makes its sign negative.
- (h_before - n) * z * (1 - z)
+ (n - h_before) * z * (1 - z)

slope_of_n_missing
The weight of n_t looks like a derivative already, so nobody misses the derivative of its tanh.
- dh_du_n = (1 - z) * (1 - n**2)
+ dh_du_n = 1 - z

reset_gate_forgotten
In the other blocks u and v are only ever added, so their gradients are equal there.
- dh_dv_n[...] = dh_du_n * r
+ dh_dv_n[...] = dh_du_n

n_for_v_n
n_t is kept anyway, while v_n, which the reset gate multiplies, has to be kept for this line alone.
- dh_du_n * v_n * r * (1 - r)
+ dh_du_n * n * r * (1 - r)

slope_of_r_missing
The line is long and starts with one derivative, so the second one at its end is not missed.
- dh_du_n * v_n * r * (1 - r)
+ dh_du_n * v_n

n_dropped_from_dh_before
r and z are handled together throughout, and the third block's path to h_{t-1} is left out.
- + dv[t] @ W_hh
+ + dv[t, :, : 2 * H] @ W_hh[: 2 * H]

du_is_not_dv
In the RNN and the LSTM both sums have the same gradient, and the shapes fit here, too.
- inputs.backward(du, x, W_ih)
+ inputs.backward(dv, x, W_ih)

one_gradient_for_both_biases
The line is copied from the RNN or the LSTM, where both biases are in the same sum.
- db_ih = du.sum(axis=(0, 1))
+ db_ih = db_hh.copy()
""",
    "lstm": """
dh_replaced
It works where only the last state has a loss, and is not changed when every step gets one.
- dh[t] = dy[t] + dh_carried
+ dh[t] = dh_carried

dc_replaced
h_t and c_{t+1} both depend on c_t, so dc_t has two terms, and the one from c_{t+1} is forgotten.
- dc[t] = dh[t] * dh_dc[t] + dc_carried
+ dc[t] = dh[t] * dh_dc[t]

dc_carried_whole
The cell is said to carry the gradient unchanged, which was true before it got a forget gate.
- dc_carried = dc[t] * f[t]
+ dc_carried = dc[t].copy()

immediate_for_total
dy[t] is called the gradient of h_t, but it is only the part from the loss, and the cell needs the total.
- dc[t] = dh[t] * dh_dc[t]
+ dc[t] = dy[t] * dh_dc[t]

slope_from_c
The rule is one minus the output squared, but c_t is the input of this tanh, not its output.
- o * (1 - tanh_c**2)
+ o * (1 - c**2)

c_for_tanh_c
The tanh between c_t and h_t has no name of its own in the equations and is overlooked.
- tanh_c * o * (1 - o)
+ c * o * (1 - o)

cell_after_for_cell_before
Everything else in this block belongs to step t, and only c must be from the step before.
- c_before * f * (1 - f)
+ c * f * (1 - f)

h_after_for_h_before
dW is a sum of da_t times h, and the index of h is copied from da.
- da_rows.T @ h_before.reshape(T * B, H)
+ da_rows.T @ y.reshape(T * B, H)

slope_of_one_gate_missing
Four similar lines are typed one after the other, and one of them ends too soon.
- dc_da_i[...] = g * i * (1 - i)
+ dc_da_i[...] = g

sigmoid_slope_for_g
Three of the four blocks are sigmoids, and the tanh block is treated like them.
- i * (1 - g**2)
+ i * g * (1 - g)

gates_in_another_order
Many texts use the order i f o g, torch uses i f g o, and all blocks have the same shape.
- dc_da_i, dc_da_f, dc_da_g, dh_da_o = slopes
+ dc_da_i, dc_da_f, dh_da_o, dc_da_g = slopes

gate_dropped_from_dh_before
Written out, it is a sum of four products, and the one of the input gate is left out.
- dh_carried = da[t] @ W_hh
+ dh_carried = da[t, :, H:] @ W_hh[H:]

each_block_transposed
Each gate's block of W_hh is square, so a product per gate fits with the transpose as well.
- dh_carried = da[t] @ W_hh
+ dh_carried = da[t] @ np.concatenate([W.T for W in np.split(W_hh, 4)])

weights_of_the_last_step_only
The formula for one step is da_t times h_{t-1}, and = in place of += keeps one of them.
- da_rows.T @ h_before.reshape(T * B, H)
+ da[-1].T @ h_before[-1]

bias_as_a_row
keepdims=True, or a bias kept as (1, 4H) elsewhere, and broadcasting accepts it everywhere.
- db_hh = da_rows.sum(axis=0)
+ db_hh = da_rows.sum(axis=0, keepdims=True)

one_array_for_two_biases
The two are equal, so a copy looks wasteful, until clipping scales the one array twice.
- db_ih = db_hh.copy()
+ db_ih = db_hh

dc_n_overwritten
Writing in place saves an array at every step, but at the last step that array is the caller's.
- dc_carried = dc[t] * f[t]
+ np.multiply(dc[t], f[t], out=dc_carried)

parameter_changed_in_forward
The sum is the same and an array is saved, but every forward changes b_ih.
- u = inputs.forward(x, W_ih, b_ih + b_hh)
+ b_ih += b_hh
+     u = inputs.forward(x, W_ih, b_ih)
""",
    "mingru": """
factor_of_this_step
In forward, step t has the factor of step t, and the same scan runs backwards with the same factors.
- keep_after = np.concatenate([1 - z[1:], np.ones_like(z[:1])])
+ keep_after = 1 - z

last_factor_is_a_gate
The factors are shifted by rolling the array, and the last step gets the factor of the first.
- keep_after = np.concatenate([1 - z[1:], np.ones_like(z[:1])])
+ keep_after = np.roll(1 - z, -1, axis=0)

scan_not_turned_back
The arguments are reversed, and it is easy to miss that the result then is reversed as well.
- dh = scan(keep_after[::-1], dy[::-1], dh_n)[::-1]
+ dh = scan(keep_after[::-1], dy[::-1], dh_n)

scan_from_first_to_last
The function is the one that forward calls, and nothing in the call shows a direction.
- dh = scan(keep_after[::-1], dy[::-1], dh_n)[::-1]
+ dh = scan(keep_after, dy, dh_n)

dh_0_without_its_factor
The scan ends with the gradient of h_1, the first state that it knows, and h_0 is one factor further.
- dh_0 = (1 - z[0]) * dh[0]
+ dh_0 = dh[0].copy()

new_weighed_by_1_minus_z
torch's GRU has 1 - z there, and minGRU is introduced as a simpler GRU.
- da_n = dh * z
+ da_n = dh * (1 - z)

mixed_with_the_state_after
y is at hand, and without a loop nothing recalls that z_t weighs n_t against the state before.
- da_z = dh * (n - h_before) * z * (1 - z)
+ da_z = dh * (n - y) * z * (1 - z)
""",
    "scan": """
spans_not_combined
The states are what one wants, and their factors are taken for constants.
-         a[span:] = a[span:] * a[:-span]

first_state_left_out_of_the_scan
The rounds combine steps with steps, and h_0 is none.
-     h[0] += a[0] * h_0
""",
    "inputs": """
steps_and_rows_mixed
Many frameworks put the batch first, and after the reshape nothing distinguishes the two orders.
- x.reshape(-1, x.shape[2])
+ x.swapaxes(0, 1).reshape(-1, x.shape[2])

input_weights_averaged
A mean makes the gradient independent of the batch size, but the loss is a mean already.
- dW_ih = du_rows.T @ x.reshape(-1, x.shape[2])
+ dW_ih = du_rows.T @ x.reshape(-1, x.shape[2]) / du.shape[1]

rows_left_unsorted
The ids get sorted and their rows do not, and with a small vocabulary this branch never runs.
- np.add.reduceat(rows[order], starts, axis=0)
+ np.add.reduceat(rows, starts, axis=0)
""",
    "stretches": """
padding_run_through
Everything fits without the lengths, but the state then comes from the last padded step.
- n = B if lengths is None else int(np.sum(lengths >= end))
+ n = B

reverse_starts_on_padding
Reversing the whole array is a simple slice, but then the padding comes first.
-     if lengths is None:
-         return x[::-1]
+     return x[::-1]

ended_rows_forget
A new array of states is filled for the rows still running, and the others stay zero.
- np.concatenate([s_last, s[n:]])
+ np.concatenate([s_last, np.zeros_like(s[n:])])

ended_rows_lose_dh_n
A row that has ended seems to have no gradient yet, but it has its dh_n.
- np.concatenate([ds_first, ds[n:]])
+ np.concatenate([ds_first, np.zeros_like(ds[n:])])

states_written_in_place
It saves a copy, but the first array that it writes into is the caller's h_0.
- state = [np.concatenate([s_last, s[n:]]) for s, s_last in zip(state, last, strict=True)]
+ _ = [np.copyto(s[:n], s_last) for s, s_last in zip(state, last, strict=True)]

one_stretch_of_the_sum
= in place of += again: each stretch has a full set of gradients, so those of one look complete.
- share if dweights is None else [total + part for total, part in zip(dweights, share, strict=True)]
+ share

every_stretch_starts_from_dh_n
The argument is called dstate_n, which is true of the last stretch only; the others continue.
- running = [ds[:n] for ds in dstate]
+ running = [ds[:n] for ds in dstate_n]
""",
    "recurrent": """
reverse_gradient_not_added
Each direction returns a full dx, so the second one looks like the result.
- dy = shares[0] + shares[1] if D == 2 else shares[0]
+ dy = shares[-1]

halves_swapped
The backward visits the directions in reverse order, and the halves of dy get reversed with them.
- dy[:, :, k % D * H : (k % D + 1) * H]
+ dy[:, :, (D - 1 - k % D) * H : (D - k % D) * H]

dy_not_turned_round
The forward reverses its input before the cell and its output after it, and one of the two is forgotten.
-         dy = stretches.reverse(dy, lengths) if backwards else dy

dx_not_turned_back
The shapes and the parameters' gradients are right without it, and nobody looks at dx.
- dx = stretches.reverse(dx, lengths)  # (T, B, I)
+ pass

first_state_gets_zero
The initial state is not learned, so its gradient is filled with zeros until it is needed.
- zip(*(dfirst[k] for k in sorted(dfirst)), strict=True)
+ zip(*([0 * ds for ds in dfirst[k]] for k in sorted(dfirst)), strict=True)

omitted_upstream_is_ones
A backward pass starts with a gradient of one, but that is the loss's, not that of every output.
- dy = np.zeros((T, B, D * H), 
+ dy = np.ones((T, B, D * H), 

gradients_pile_up
torch accumulates gradients and has zero_grad for it; here nothing clears them between calls.
- {name: grads[name] for name in self.params}
+ {name: self.grads.get(name, 0) + grads[name] for name in self.params}

not_handed_down
The outputs of all layers have one shape, so each layer takes the dy of the top one.
-         for layer in reversed(range(self.num_layers)):
-             shares = []
-             for k in reversed(range(layer * D, (layer + 1) * D)):
-                 dy_k = dy[
+         dy_top = dy
+         for layer in reversed(range(self.num_layers)):
+             shares = []
+             for k in reversed(range(layer * D, (layer + 1) * D)):
+                 dy_k = dy_top[

order_for_its_inverse
Undoing the sort looks like sorting, and for two rows it is the same.
- dx = dy[:, inverse] if
+ dx = dy[:, order] if

state_of_the_layer
With one direction, the layer's number is the state's number; the second direction is added later.
- self._forward_entry(k, below, [s[k] for s in state]
+ self._forward_entry(k, below, [s[layer] for s in state]
""",
    "layers": """
repeated_ids_lost
grads[ids] += dy looks like a sum, but NumPy keeps only one row per id.
- self.grads = {"weight": sum_by_id(dy.reshape(-1, E), self._ids.ravel(), V)}
+ self.grads = {"weight": np.zeros((V, E), dy.dtype)}
+         self.grads["weight"][self._ids] += dy

weight_gradient_adds_up
One array is kept and added to, and only the second training step goes wrong.
- {"weight": dy_rows.T @ x_rows,
+ {"weight": self.grads.get("weight", 0) + dy_rows.T @ x_rows,

bias_gradient_averaged
Sum and mean differ by a factor, and the learning rate hides it until the batch size changes.
- dy_rows.sum(axis=0)
+ dy_rows.mean(axis=0)

new_mask_in_backward
backward draws its own mask, as forward does, and drops other numbers than the loss has seen dropped.
- dy * self._factor
+ dy * np.random.default_rng().permuted(self._factor)

dropout_not_scaled
The mask looks like all there is to dropout; the mean then differs between training and evaluation.
- kept / x.dtype.type(1 - self.p)
+ kept.astype(x.dtype)

dropout_in_evaluation
The layer draws whenever nobody hands it a mask, and a held-out metric that is noisy looks plausible.
- self._factor = None if kept is None else kept /
+ self._factor = (np.random.default_rng().random(x.shape) >= self.p if kept is None else kept) /
""",
    "losses": """
softmax_without_minus_one
The probabilities are the long part of the formula, and the 1 of the right class is forgotten.
-     dlogits[rows, ids] -= 1

not_divided_by_the_count
The textbook's p - y is for one example, and the mean that the loss takes is forgotten.
-     dlogits /= count

padding_in_the_count
The number of rows is at hand as len(ids), but it includes those that are not valid.
- dlogits /= count
+ dlogits /= len(ids)

mean_over_padding_too
A mean over the whole array is simpler; loss and gradient agree, and both are too small.
- math.prod(targets_shape) if valid is None else int(valid.sum())
+ math.prod(targets_shape)

mask_forgotten_in_the_gradient
The loss is masked and looks right, but the gradient comes from a line that ignores the mask.
-     if valid is not None:
-         dlogits[~valid.ravel()] = 0  # not a product with the mask: nan * 0 is nan

mask_multiplied
Multiplying by 0 removes everything except a nan in the padding.
- dlogits[~valid.ravel()] = 0
+ dlogits *= valid.ravel()[:, None]

logits_overwritten
-= works in place, and reshape returned a view, so the caller's array changes.
- z = z - z.real.max(axis=1, keepdims=True)
+ z -= z.real.max(axis=1, keepdims=True)

largest_logit_not_subtracted
The formula has no such term, and while the logits are small, nothing goes wrong.
- z = z - z.real.max(axis=1, keepdims=True)
+ z = z.copy()

factor_two_missing
Half the squared error is as common, has no 2 in its gradient, and the two get mixed up.
- return loss, 2 * difference / count
+ return loss, difference / count
""",
    "optimizers": """
dampened_momentum
Adam's averages have a factor 1 - beta, so momentum gets one too, and steps become ten times shorter.
- self.momentum * self.v[name] + g
+ self.momentum * self.v[name] + (1 - self.momentum) * g

no_look_ahead
The option is accepted and stored, and plain momentum trains nearly as well.
- g = g + self.momentum * self.v[name] if self.nesterov else self.v[name]
+ g = self.v[name]

velocity_is_the_gradient
The formula says v = g, but without a copy it is the caller's array, which the next batch overwrites.
- self.v[name] = g.copy()
+ self.v[name] = g

decay_written_into_the_gradient
+= in place of +: the step is the same, but the caller's gradient changes.
-                 g = g + self.weight_decay * p
-             if self.momentum:
+                 g += self.weight_decay * p
+             if self.momentum:

no_bias_correction
It matters in the first steps only, and a run of thousands looks much the same.
- p -= self.lr / (1 - beta1**self.t) * m / denominator
+ p -= self.lr * m / denominator

epsilon_inside_the_correction
The paper gives this form as a faster one, and only small gradients show that torch's differs.
- np.sqrt(v) / (1 - beta2**self.t) ** 0.5 + self.eps
+ (np.sqrt(v) + self.eps) / (1 - beta2**self.t) ** 0.5

l2_for_decoupled_decay
For SGD the two are the same, so AdamW's decay is added to the gradient as well.
-         for p in self.params.values():
-             p *= 1 - self.lr * self.weight_decay
-         self._update(grads)
+         super().step(grads)

decay_without_the_learning_rate
The paper keeps its decay separate from the learning rate; torch multiplies the two.
- p *= 1 - self.lr * self.weight_decay
+ p *= 1 - self.weight_decay

epsilon_under_the_root
Other libraries put it there, and it prevents the division by zero just as well.
- b += g / (np.sqrt(v) + self.eps)
+ b += g / np.sqrt(v + self.eps)

decay_one_step_ahead
t is incremented first, as Adam needs it, but here it should still be the previous step's.
- (self.t - 1) * self.lr_decay
+ self.t * self.lr_decay

clipped_element_by_element
np.clip has the right name and bounds every number, but it changes the direction of the gradient.
- g *= scale
+ np.clip(g, -max_norm, max_norm, out=g)

one_norm_for_each_array
The loop over the arrays exists already, and computing the norm inside it is shorter.
- g *= scale
+ g *= min(1, max_norm / (np.sqrt(np.sum(g**2)) + 1e-6))

short_gradients_stretched
Clipping is remembered as scaling to a norm, without the test whether the gradient is too long.
- if not scale >= 1:
+ if np.isfinite(scale):
""",
    "model": """
last_output_for_last_state
y[-1] is the last state unless a row has ended earlier or a direction has only just started there.
- y = np.concatenate(h_n[-self.recurrent.directions :], axis=1)
+ y = y[-1]

last_state_in_the_other_direction
reshape silently makes (D, B, H) of it but moves no axis, so directions and rows get mixed.
- dy.reshape(B, D, H).swapaxes(0, 1)
+ dy.reshape(D, B, H)

last_state_into_the_first_layer
With one layer, the first entries are the last ones.
- dh_n[-D:] = dy
+ dh_n[:D] = dy

one_padded_step_counted
<= in place of <: loss and gradient agree, but every padded row has one target too many.
- np.arange(len(batch.inputs))[:, None] < batch.lengths
+ np.arange(len(batch.inputs))[:, None] <= batch.lengths

state_dropped_on_the_way
One of two branches passes the state on, and the other silently starts from zeros.
- self.recurrent.forward(x, state, lengths)
+ self.recurrent.forward(x, None, lengths)
""",
    "training": """
state_not_carried
Without it a model still learns whatever fits into one window.
- state = model.state_n if dataset.carry_state else None
+ state = None

state_carried_between_strangers
What is right for a text cut into windows is done for sequences that are unrelated.
- state = model.state_n if dataset.carry_state else None
+ state = model.state_n

state_carried_across_epochs
The initial state is set once, outside the loop, so the end of the text precedes its beginning.
- epoch, state = epoch + 1, None
+ epoch += 1

clipped_after_the_step
The two lines run in either order without an error, and the reported norm is right.
-             norm = float(clip_grad_norm(grads, float("inf") if clip is None else clip))  # scales grads in place
-             optimizer.step(grads)
+             optimizer.step(grads)
+             norm = float(clip_grad_norm(grads, float("inf") if clip is None else clip))  # scales grads in place
""",
}


def entries(changes: dict[str, str]) -> Iterator[tuple]:
    """The fields of each Mistake that a dict such as CHANGES describes, in its order."""
    for file, text in changes.items():
        for entry in text.strip("\n").split("\n\n"):
            name, why, *change = entry.split("\n")
            right, wrong = ("\n".join(line[2:] for line in change if line.startswith(sign)) for sign in "-+")
            yield name, file, why, right if wrong else f"{right}\n", wrong


MISTAKES = tuple(Mistake(*entry) for entry in entries(CHANGES))
BY_NAME = {mistake.name: mistake for mistake in MISTAKES}
