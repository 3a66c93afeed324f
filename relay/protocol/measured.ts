/** The host's own evaluation of a version: mean negative log-likelihood a counted token, in nats, on text it chose. */
import * as v from 'valibot'
import { finiteNumber } from './fields.ts'

/** A loss beyond this is no number of any language model. */
const lossInNats = finiteNumber(0, 1e4)

export const measuredSchema = v.strictObject({ baseLoss: lossInNats, loss: lossInNats })

export type Measured = v.InferOutput<typeof measuredSchema>
