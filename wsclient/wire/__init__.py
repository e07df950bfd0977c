"""One open connection: what is between the transport and the public class."""
