"""The open registries of appendix D: number -> name of the lossless JSON form."""


def registry(text: str) -> dict[int, str]:
    """Return {number: name} from alternating words."""
    words = text.split()
    return {int(number): name for number, name in zip(words[::2], words[1::2], strict=True)}


BODY_TYPE = registry("0 key_event 1 receipt 2 reconciliation 3 binding 4 statement 5 redaction")
SOURCE = registry("1 proxy 2 embedded 3 import 4 manual")
LABEL = registry("1 EXACT 2 BOUNDED 3 UNVERIFIABLE")
METERING = registry("0 none 1 final 2 partial 3 malformed")
STATUS = registry(
    "0 complete 1 client_aborted 2 upstream_error 3 upstream_reset 4 refused"
    " 5 upstream_unreachable 6 timeout 7 gateway_interrupted 8 incomplete"
)
ACTION = registry("1 flag 2 block 3 redact 4 limit")
API = registry(
    "0 other 1 openai.chat 2 openai.responses 3 openai.completions 4 openai.embeddings"
    " 5 openai.images 6 openai.audio 7 anthropic.messages 8 gemini.generate 9 bedrock.converse"
    " 10 cohere.v2 11 ollama.chat 12 ollama.generate 13 mistral.chat"
)
BUCKET_KIND = registry(
    "1 input_uncached 2 cache_read 3 cache_write 4 cache_write_5m 5 cache_write_1h"
    " 6 cache_write_30m 7 cache_write_12h 8 input_unsplit 9 tool_prompt"
    " 16 output_visible 17 reasoning 18 output_unsplit 19 rejected_prediction"
    " 32 input_audio 33 input_image 34 input_video 35 output_audio 36 output_image"
    " 37 output_video 48 audio_ms 49 images 50 search_units 51 pages 52 web_searches"
    " 53 web_fetches"
)
ANOMALY = registry(
    "1 usage_malformed 2 details_exceed_total 3 usage_decreased 4 duplicate_usage"
    " 5 usage_too_long 6 model_unrepresentable 7 request_id_unrepresentable"
    " 8 body_too_long_to_commit 9 policy_list_truncated 10 clock_clamped 11 total_mismatch"
    " 12 output_not_text_only"
)
KEY_EVENT_KIND = registry("0 genesis 1 rotate 2 close")
KEY_EVENT_REASON = registry("0 scheduled 1 suspected 2 compromised 3 lost 4 closed")
REDACTION_REASON = registry("1 data_subject_request 2 retention 3 legal_order 4 secret_leaked")

TEXT_APIS = frozenset([1, 2, 3, 7, 8, 9, 10, 11, 12, 13])
MEDIA_KINDS = frozenset(range(32, 38))
FIRST_NON_TOKEN_KIND = 48
