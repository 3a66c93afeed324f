/** Whether this room's model learns from text or from pictures: the page's words and some of its parts go by it. */
import { computed } from '@preact/signals'
import { mediumOf } from '../../models/families/media.ts'
import { manifest } from './store.ts'

export const medium = computed(() => mediumOf(manifest.value?.base.family ?? ''))
export const drawsPictures = computed(() => medium.value === 'pictures')
