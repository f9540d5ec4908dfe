"""How close two words are."""
import difflib

import gradio as gr


def closeness(one, other):
    return round(difflib.SequenceMatcher(None, one.lower(), other.lower()).ratio(), 3)


demo = gr.Interface(
    closeness,
    inputs=[gr.Textbox(label="One word"), gr.Textbox(label="Another")],
    outputs=gr.Number(label="Closeness"),
    title="Closeness of words",
)

if __name__ == "__main__":
    demo.launch()
