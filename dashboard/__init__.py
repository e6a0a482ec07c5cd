"""The pages: a Streamlit app over ichscope. This process never loads TensorFlow, Keras or PyTorch."""
