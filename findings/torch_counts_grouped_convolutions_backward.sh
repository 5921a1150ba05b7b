#!/usr/bin/env bash
# torch.utils.flop_counter.FlopCounterMode is wrong by a factor for some layers, without a warning.
#
# Behaviour seen (torch 2.13.0, CPU build; the same lines stand in flop_counter.py of 2.4.0 and of
# 2.14.1): for a convolution with G groups the backward pass counts (1 + G) forward passes, where
# there are two, whatever G is: one for the inputs' gradient, one for the weights'. The transposed
# shapes with which the latter is counted have lost the division by G. A depthwise convolution of
# 256 channels counts 86 times its operations. Pull request 183405 of pytorch/pytorch divides by G.
#
# Likewise what has no entry in the counter's table counts nothing: a matrix times a vector, and the
# operators that a CPU runs for an LSTM and for attention. On the meta device the LSTM is taken
# apart into products, which are counted.
#
# Output:
#   groups   1: backward / forward 2
#   groups   4: backward / forward 5
#   groups 256: backward / forward 257
#   x (8, 784) @ w (784, 1): 12544
#   x (8, 784) @ w (784,): 0
#   LSTM on meta: 491520
#   LSTM on cpu: 0
#   attention on cpu: 0
#
# Ends with 0 if it still behaves so, and with something else if not.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6

cat >"$folder/count.py" <<'END'
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def counted(run):
    with FlopCounterMode(display=False) as counter:
        result = run()
    return counter.get_total_flops(), result


for groups in (1, 4, 256):
    layer = nn.Conv2d(256, 256, 3, padding=1, groups=groups, bias=False)
    x = torch.zeros(2, 256, 8, 8, requires_grad=True)
    forward, y = counted(lambda: layer(x))
    assert forward == 2 * y.numel() * (256 // groups) * 9  # right
    backward, _ = counted(y.sum().backward)
    print(f"groups {groups:3}: backward / forward {backward / forward:g}")
x = torch.zeros(8, 784)
for shape in ((784, 1), (784,)):
    print(f"x (8, 784) @ w {shape}:", counted(lambda: x @ torch.zeros(shape))[0])
for device in ("meta", "cpu"):
    lstm, x = nn.LSTM(16, 32, device=device), torch.zeros(10, 4, 16, device=device)
    print(f"LSTM on {device}:", counted(lambda: lstm(x))[0])
q = torch.zeros(2, 4, 10, 8)
attention = nn.functional.scaled_dot_product_attention
print("attention on cpu:", counted(lambda: attention(q, q, q))[0])
END
"$folder/venv/bin/python" "$folder/count.py" | tee "$folder/seen"

# The lines of "Output" above.
sed -n '/^# Output:/,/^#$/s/^#   //p' "$0" | diff - "$folder/seen"
