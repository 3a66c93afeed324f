/**
 * AdamW with global-norm clipping, recorded: three dispatches for the whole set, because its values, gradients
 * and moments each lie in one flat buffer. Gaps between matrices hold zeros and stay zero.
 */
import { ParameterStorage } from '../../plan/parameters.ts'
import { asPlanTensor } from '../../plan/plan-tensor.ts'
import { lineKernel, type Recorder } from '../../plan/recorder.ts'
import { HYPER, type Ops, type ParameterSet } from '../ops.ts'

/** Sums of squares before the last one: enough to keep a GPU busy, few enough for one workgroup. */
const PARTIALS = 1024

export function planAdamw(recorder: Recorder): Ops['adamw'] {
  return (set, hyperTensor, options) => {
    const { values, first, second, ...own } = storageOf(set).moments()
    const gradients = options?.accumulated ? storageOf(set).sums() : own.gradients
    const hyper = asPlanTensor(hyperTensor)
    const count = values.elements
    const partials = recorder.tensor([PARTIALS])
    recorder.dispatch({
      name: 'adamw.squares',
      reads: { gradients },
      writes: { partials },
      ...lineKernel(
        PARTIALS,
        `  var sum = 0.0f;
  for (var c = i; c < ${count}u; c += ${PARTIALS}u) { sum += gradients[c] * gradients[c]; }
  partials[i] = sum;`,
      ),
      flops: 2 * count,
    })
    const norm = recorder.tensor([1])
    recorder.dispatch({
      name: 'adamw.norm',
      reads: { partials },
      writes: { norm },
      ...lineKernel(
        1,
        `  var sum = 0.0f;
  for (var block = 0u; block < ${PARTIALS}u; block += 32u) {
    var blockSum = 0.0f;
    for (var c = block; c < block + 32u; c++) { blockSum += partials[c]; }
    sum += blockSum;
  }
  norm[0] = sqrt(sum);`,
      ),
      flops: PARTIALS,
    })
    recorder.dispatch({
      name: 'adamw.step',
      reads: { gradients, hyper, norm },
      updates: { values, first, second },
      writes: {},
      ...lineKernel(
        count,
        `  let maxNorm = hyper[${HYPER.maxNorm}];
  let clip = select(1.0f, min(1.0f, maxNorm / (norm[0] + 1.0e-6f)), maxNorm > 0.0f);
  let g = gradients[i] * clip;
  let rate = hyper[${HYPER.learningRate}];
  let m = hyper[${HYPER.beta1}] * first[i] + (1.0f - hyper[${HYPER.beta1}]) * g;
  let v = hyper[${HYPER.beta2}] * second[i] + (1.0f - hyper[${HYPER.beta2}]) * g * g;
  first[i] = m;
  second[i] = v;
  let step = m / hyper[${HYPER.correction1}] / (sqrt(v / hyper[${HYPER.correction2}]) + hyper[${HYPER.epsilon}]);
  values[i] = values[i] * (1.0f - rate * hyper[${HYPER.weightDecay}]) - rate * step;`,
      ),
      flops: 15 * count,
    })
    recorder.forget()
    return norm
  }
}

/** One dispatch over the whole set. */
export function planAccumulate(recorder: Recorder): Ops['accumulate'] {
  return (set, factorsTensor) => {
    const { gradients } = storageOf(set).moments()
    const sums = storageOf(set).sums()
    recorder.dispatch({
      name: 'adamw.accumulate',
      reads: { gradients, factors: asPlanTensor(factorsTensor) },
      updates: { sums },
      writes: {},
      ...lineKernel(sums.elements, '  sums[i] = factors[0] * sums[i] + factors[1] * gradients[i];'),
      flops: 3 * sums.elements,
    })
  }
}

function storageOf(set: ParameterSet): ParameterStorage {
  if (!(set instanceof ParameterStorage)) throw new TypeError('a parameter set of another engine')
  return set
}
