/** The host's own evaluation of a version: the mean loss on data it chose, in the unit of the model's family (of text
 * nats a token, of pictures the squared error of the flow). */
import * as v from 'valibot'
import { finiteNumber } from './fields.ts'

/** A loss beyond this is no number of any language model. */
const lossInNats = finiteNumber(0, 1e4)

export const measuredSchema = v.strictObject({ baseLoss: lossInNats, loss: lossInNats })

export type Measured = v.InferOutput<typeof measuredSchema>
