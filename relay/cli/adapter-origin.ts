/**
 * Whether an adapter belongs to a base: by its shapes, and where its file says what it was trained on, by vocabulary
 * and by digest. Shapes alone are the same for a base and its instruction-tuned sister, where an adapter of one does
 * the other no good; digests alone differ between two quantisations of one model, so that check can be waived.
 */
import { MismatchError } from '../../models/errors.ts'
import type { AdapterOrigin } from '../../models/formats/peft.ts'
import type { Arguments, OptionSpecs } from './args.ts'
import { type BaseModel, describeModel } from './base-model.ts'

export const OTHER_BASE_OPTION: OptionSpecs = {
  'other-base': {
    type: 'boolean',
    help: 'take an adapter of another file of the same model, such as another quantisation',
  },
}

/** Throws MismatchError `adapter/other-vocabulary`. */
export function checkVocabulary({ vocabulary }: AdapterOrigin, own: string, base: BaseModel): void {
  if (vocabulary === undefined || vocabulary === own) return
  throw new MismatchError(
    'adapter/other-vocabulary',
    `The adapter was trained with another vocabulary than that of ${base.id}: its words would mean something else; name the base it was trained on with --model.`,
  )
}

/** Throws MismatchError `adapter/other-base`. */
export async function checkBase(origin: AdapterOrigin, base: BaseModel, args: Arguments): Promise<void> {
  if (origin.base === undefined || args.flag('other-base')) return
  const { digest } = await describeModel(base)
  if (origin.base === digest) return
  throw new MismatchError(
    'adapter/other-base',
    `The adapter was trained on another base (sha256 ${origin.base.slice(0, 12)}…, ${base.id} has ${digest.slice(0, 12)}…); name that one with --model, or if this is the same model in another file, add --other-base.`,
  )
}
